"""A newcomer who does what README.md and the guides say, line by line.

documents   which pages are played
blocks      what a page asks its reader to do, in order
answers     what was printed compared with what the page says is printed
terminal    bash, as a reader has it
clone       a fresh clone with an environment
places      what stands for the ports and servers that a page names
play        one page from top to bottom
spelling    commands that are named in passing exist
numbers     the numbers that a page states
figures     where each of them comes from

`tests/README.md` explains the marks that pages carry for this.
"""
