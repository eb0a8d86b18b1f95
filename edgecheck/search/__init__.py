"""How the smallest passing variant is looked for: bisection, groups of criteria, budget. Pure: nothing is made here."""
