"""Issues that a tracker's web hook pushes: a table to count, and a library to search."""

from ponant import live

issues = live.push("issues", key="number")


@live.transform
def as_document(issue: dict) -> live.Document:
    """An issue as people search for it."""
    state = "open" if issue.get("open", True) else "closed"
    return live.Document(
        key=f"issue-{issue['number']}",
        name=f"#{issue['number']} {issue['title']}",
        text=f"# {issue['title']}\n\n{issue.get('body', '')}\n\nThis issue is {state}.",
        url=issue.get("url"),
        metadata={"state": state},
    )


live.table("issues", issues)
live.library("Issues", as_document(issues))
