"""The shapes of published JSON: one model an artifact, dumped by who writes it, loaded by readers.

Import the module of the one artifact that is meant: each stage then depends on the shapes that it
reads or writes, and on no others.
"""
