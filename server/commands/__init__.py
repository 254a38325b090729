"""The commands behind `callslip`: each translates arguments to the service and back."""
