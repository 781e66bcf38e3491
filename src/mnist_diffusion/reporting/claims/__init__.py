"""The source document's claims, each with the rule that judges it by what was measured."""
