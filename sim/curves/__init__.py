"""Miss-ratio curves and the causes of reads, from the requests to a level."""
