"""A page as tests look at it: its tags, its text, its pictures, and that it asks nothing of anyone."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from PIL import Image

VOID = {"meta", "link", "img", "source", "br"}
HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}${7*7}"


class Page(HTMLParser):
    """The tags, the text and the balance of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def pictures(self):
        """The content of every picture, each for light and for dark."""
        uris = [image["src"] for image in self.all("img")]
        return [_decoded(uri) for uri in uris + [source["srcset"] for source in self.all("source")]]


def assert_whole_and_alone(text):
    """Every picture is within the page and sound; nothing is asked of the network, nothing runs."""
    page = Page(text)
    for kind, content in page.pictures:
        if kind == "png":
            Image.open(io.BytesIO(content)).load()
        else:
            assert ElementTree.fromstring(content).tag.endswith("svg")
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:")
        assert not [name for name in attributes if name.startswith("on")]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    assert all(image.get("alt") for image in page.all("img"))


def _decoded(uri):
    head, content = uri.split(",", 1)
    kind = re.fullmatch(r"data:image/(png|svg\+xml);base64", head)
    assert kind, head
    return kind[1], base64.b64decode(content, validate=True)
