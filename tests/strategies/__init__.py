"""What the tests generate: models, and the bytes that other writers of protobuf might make of them."""
