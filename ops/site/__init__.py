"""The documents as a site: what Sphinx needs beside its settings in `ops/guides/conf.py`.

__main__      builds the site and checks it
navigation    the side bar from the settings, instead of tables of contents inside the pages
source_pages  a page for each file of the source that a document links
html_links    every link of the produced HTML leads somewhere inside the site

Nothing of the gateway, the workers or the `tidegate` command imports this package.
"""
