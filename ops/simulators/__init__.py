"""The providers' side of their protocols: realistic messages, signed as they sign them."""
