"""Rules of the house: what reviews would otherwise have to look for again and again."""
