"""Entry of `python -m deploy.local`."""

from deploy.local.main import main

if __name__ == "__main__":
    main()
