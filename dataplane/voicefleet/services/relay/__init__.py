"""The relay process: one public UDP port at the edge that forwards sealed calls."""
