"""How the editions are told apart."""

import json

from tests.server._driver import body
from tests.server.enterprise._facts import RUBY, fact
from tests.server.enterprise._setting import Licensed

EDITION = "Edition"


@fact(
    EDITION, "INFO's `server.description` contains `Enterprise`; the free one's is `Faktory`.", RUBY
)
def what_info_says(server: Licensed) -> None:
    info = json.loads(body(server.send(b"INFO")))
    assert info["server"]["description"] == "Faktory Enterprise"
