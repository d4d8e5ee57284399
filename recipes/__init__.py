"""How what the package ships was made; not part of the wheel."""
