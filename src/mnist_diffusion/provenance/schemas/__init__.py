"""The shapes of published JSON: one model an artifact, dumped by its writer, loaded by readers."""
