"""``python -m todo``: the `todo` command."""

from todo.cli import main

if __name__ == "__main__":
    main(prog_name="todo")
