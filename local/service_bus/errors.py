"""What a client is told when it asks for something that it cannot have."""


class RefusedError(Exception):
    """A refusal, sent as an AMQP error or as the status of a management response."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = condition
        self.status = status


class LockLostError(RefusedError):
    """The lock has ended, or its message is settled already."""

    def __init__(self) -> None:
        text = "The lock has ended, or the message was settled already."
        super().__init__("com.microsoft:message-lock-lost", text, 410)


class UnsupportedError(RefusedError):
    """Something that Azure Service Bus does and the stand-in does not."""

    def __init__(self, what: str) -> None:
        text = f"not supported by the local Service Bus stand-in: {what}"
        super().__init__("amqp:not-implemented", text, 501)


class MalformedMessageError(RefusedError):
    """Bytes that are not an AMQP 1.0 message."""

    def __init__(self, problem: str) -> None:
        super().__init__("amqp:decode-error", problem)
