"""What the values of the chart may be: models, and the ``values.schema.json`` that follows from them."""
