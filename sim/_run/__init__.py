"""What a run is: a function of its choices. The values that all other rooms speak in, and its errors."""
