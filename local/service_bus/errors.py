"""What a client is told when it asks for something that it cannot have."""


class RefusedError(Exception):
    """A refusal, sent as an AMQP error or as the status of a management response."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = condition
        self.status = status


class LockLostError(RefusedError):
    """The lock of a message has ended, or the message was settled."""

    def __init__(self) -> None:
        super().__init__("com.microsoft:message-lock-lost", "The lock ended, or it was settled.", 410)


class UnsupportedError(RefusedError):
    """Something that Azure Service Bus does and the stand-in does not."""

    def __init__(self, what: str) -> None:
        super().__init__("amqp:not-implemented", f"not supported by the local Service Bus stand-in: {what}")
