/** Stands in for rehype-raw: raw HTML in an answer is never parsed, so its parser stays out of the page. */
export default function noRawHtml() {
  return undefined;
}
