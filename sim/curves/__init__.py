"""Miss-ratio curves and the causes of reads, from what is asked of a level."""
