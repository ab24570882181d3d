"""How well lesions are found and corrected: measures against a truth, and simulated readers."""
