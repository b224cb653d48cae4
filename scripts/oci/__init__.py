"""`scripts/image`: the product's image as an OCI archive, made by Debian's tools and pip."""
