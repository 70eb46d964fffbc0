"""The intermediate representation: element types, operations, graphs, text form, evaluation."""
