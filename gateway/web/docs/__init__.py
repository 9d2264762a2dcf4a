"""The page /docs: an OpenAPI document as HTML, without scripts and without other origins."""
