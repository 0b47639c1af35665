"""How sure a number is: intervals, paired differences, and estimates computed in shares and batches."""
