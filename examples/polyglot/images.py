"""Jobs that another language pushes: it gets their JSON Schema.

cd examples/polyglot
python images.py > jobs.schema.json
node push.mjs resize '[42, "large"]'
faktory-async worker images:app
"""

import json
from typing import Literal

from faktory_async import App

app = App()


@app.job(strict=False)  # a neighbour without types may send "42" for 42
async def resize(image: int, size: Literal["small", "large"] = "small") -> str:
    """Make an image of another size."""
    return f"image {image} is {size} now"


if __name__ == "__main__":
    print(json.dumps(app.json_schema(), indent=2))
