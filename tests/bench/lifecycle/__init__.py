"""How fast Tasks go from created to seen done, compared with three rivals in the same run."""
