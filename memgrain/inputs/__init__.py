"""How text that a person wrote is read: YAML files, keys checked against a record, quantities, misspelt names.

Every room stands above this one, which knows no chip and no workload.
"""
