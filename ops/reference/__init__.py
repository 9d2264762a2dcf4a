"""The reference pages of the guides, generated from the code: pure functions that return Markdown.

pages      which page is made by what; writes them, or says which are out of date
settings, metrics, errors, commands, routes
           one page each
markdown   tables and code in Markdown
comments   reasons that stand as comments beside closed lists in the source
"""
