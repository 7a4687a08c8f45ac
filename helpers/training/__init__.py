"""Training of a YOLOv7 on one's own pictures: data, augmentation, label assignment, loss and loop.

Nothing is imported here, so that `import helpers` stays light: import the modules by name, for instance
`from helpers.training import datasets`.
"""
