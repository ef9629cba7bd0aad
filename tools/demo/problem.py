"""The one kind of error that a person is shown."""


class Problem(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what, remedy=""):
        super().__init__(what)
        self.remedy = remedy

    def __str__(self):
        what = super().__str__()
        return f"{what}\n  {self.remedy}" if self.remedy else what
