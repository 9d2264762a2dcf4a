"""Tests of the embedded servers, as root and as an ordinary user."""
