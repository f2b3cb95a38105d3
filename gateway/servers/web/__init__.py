"""The HTTP port: FHIR endpoint, tokens, health and the console, on Starlette and uvicorn."""
