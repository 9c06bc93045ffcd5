// Package contract runs Schemathesis against the system: it makes requests that openapi.yaml allows and requests that it does not, and
// holds each answer to the document. requirements.txt pins it; hooks.py says what no schema can. It needs python3 with venv and pip,
// and fetches what is pinned once, into the user's cache directory.
package contract
