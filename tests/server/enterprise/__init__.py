"""The Enterprise edition, fact by fact."""
