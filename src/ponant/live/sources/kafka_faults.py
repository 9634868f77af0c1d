"""What the Kafka client says of its connections, turned into what people can do about it."""

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from ponant.live.sources import records
from ponant.live.sources.port import SignInRefused, SourceFault

if TYPE_CHECKING:
    from ponant.live.sources.kafka_topic import KafkaConfig

_DOWN = "_ALL_BROKERS_DOWN"
_REFUSED = ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED")
_FORBIDDEN = {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"}
_UNKNOWN = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"}


class Noted:
    """The errors of one client: the last of each kind, since what follows hides what began it."""

    def __init__(self) -> None:
        self._errors: dict[str, KafkaError] = {}

    def note(self, error: KafkaError) -> None:
        """Keep an error; the client calls this."""
        self._errors.pop(error.name(), None)  # the latest stands last
        self._errors[error.name()] = error

    @property
    def down(self) -> KafkaError | None:
        """Why nothing is to be had of the brokers now; None where something may be."""
        return self._refusal or self._errors.get(_DOWN)

    @property
    def _refusal(self) -> KafkaError | None:
        return next((self._errors[one] for one in _REFUSED if one in self._errors), None)

    def fault(self, error: KafkaError, config: "KafkaConfig") -> SourceFault:
        """What to show, of all that was noted and the error that ended it."""
        latest = next((one for name, one in reversed(self._errors.items()) if name != _DOWN), error)
        self.note(error)
        names, where = {error.name(), latest.name()}, f"Kafka at {config.servers}"
        if (refusal := self._refusal) is not None:
            if "mechanism" in refusal.str():
                return SourceFault(
                    f"{where} does not let people sign in with {config.mechanism}: "
                    f"{records.shortened(refusal.str())}. Set another `mechanism`."
                )
            return SignInRefused(
                f"{where} refused the user or the password. Set the source's password anew "
                "(ponant live sign-in)."
            )
        if names & _FORBIDDEN:
            return SourceFault(
                f"Kafka does not let this user read {config.topic}. Ask for that right."
            )
        if names & _UNKNOWN:
            return SourceFault(f"Kafka has no topic {config.topic}. Check its name, or create it.")
        untrusted = self._errors.get("_SSL")
        if untrusted is not None and "certificate" in untrusted.str():
            return SourceFault(
                f"{where} was not trusted, so nothing was told to it: its certificate is not of "
                "that name, or of nobody that this machine knows. Check its name, or set ca to "
                "its certificate."
            )
        said = records.shortened((untrusted or latest).str())
        return SourceFault(
            f"{where} cannot be read: {said}. Check the address and `security`, and that it runs. "
            "What was read before answers."
        )
