"""The project's speed, measured against what else there is: `make benchmark`."""
