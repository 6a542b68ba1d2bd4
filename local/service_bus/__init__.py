"""Service Bus stand-in: an AMQP 1.0 broker to which the real azure-servicebus client connects."""
