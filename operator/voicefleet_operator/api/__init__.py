"""What users write and what the operator answers: the four kinds, typed, and the CRDs that are made from them."""
