"""What an operator touches: the `tidegate` command, embedded servers, migrations, decisions."""
