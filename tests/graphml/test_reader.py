from __future__ import annotations

import io
from pathlib import Path

import pytest

from graphml_onnx import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Wanted
from graphml_onnx.graphml.xml import MAX_DEPTH, read_xml

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
KEYS = '<key id="k1" for="node" attr.name="name" attr.type="string"/><key id="k2" for="node" attr.name="other"/>'


def read(text, *, keys=("name",), edge_keys=(), streams=None):
    data = text if isinstance(text, bytes) else text.encode()
    wanted = Wanted(frozenset(keys), frozenset(edge_keys))
    return list(read_xml(io.BytesIO(data), Path("a.graphml"), wanted, streams or {}))


def document(body, keys=KEYS):
    return f'<graphml xmlns="{NAMESPACE}">{keys}<graph id="g" edgedefault="directed">{body}</graph></graphml>'


def value_of(inner):
    """The value of a node whose data element has the given content."""
    (node,) = read(document(f'<node id="a"><data key="k1">{inner}</data></node>'))
    return node.data.get("name")


def refused(text, message, **options):
    with pytest.raises(GraphMLError, match=message) as caught:
        read(text, **options)
    assert caught.value.file == "a.graphml"
    assert caught.value.place is None or caught.value.place.startswith("line ")
    return caught.value


def test_nodes_and_edges_in_the_order_of_their_ends():
    text = document(
        '<edge source="a" target="b"/><node id="a"><graph><node id="b"><data key="k1">x</data></node></graph></node>'
    )
    assert read(text) == [EdgeRecord("a", "b", {}, 1), NodeRecord("b", {"name": "x"}, 1), NodeRecord("a", {}, 1)]


def test_values_go_to_the_node_that_holds_them():
    text = document(
        '<node id="a"><graph><node id="b"><data key="k1">inner</data></node></graph><data key="k1">outer</data></node>'
    )
    assert [(node.node_id, node.data["name"]) for node in read(text)] == [("b", "inner"), ("a", "outer")]


@pytest.mark.parametrize(
    "inner",
    [
        "one two",
        "one<!-- comment --> two",
        "one<?instruction data?> two",
        "<![CDATA[one two]]>",
        "one<![CDATA[ two]]>",
        "one&#32;two",
        "&#x6f;ne two",
    ],
)
def test_comments_instructions_and_cdata_leave_the_value_whole(inner):
    assert value_of(inner) == "one two"


def test_the_five_entities_of_xml():
    assert value_of("&lt;&gt;&amp;&quot;&apos;") == "<>&\"'"


def test_cdata_is_text():
    assert value_of("<![CDATA[<a>&amp;]]>") == "<a>&amp;"


@pytest.mark.parametrize("inner", ["", " ", "\n\t ", "<!-- nothing -->", "<![CDATA[]]>"])
def test_an_empty_value_is_none(inner):
    assert value_of(inner) is None


def test_a_value_keeps_its_white_space():
    assert value_of(" a\n\tb ") == " a\n\tb "


def test_a_long_value_across_many_chunks():
    text = "äöü€\U0001f600" * 200_000
    assert value_of(text) == text


def test_values_that_nobody_asked_for_are_passed_over():
    text = document('<node id="a"><data key="k2"><y:Shape xmlns:y="urn:y">x</y:Shape></data></node>')
    assert read(text) == [NodeRecord("a", {}, 1)]


def test_a_streamed_value_is_handed_over_and_not_kept():
    parts = []
    text = document('<node id="a"><data key="k1">' + "x" * 100_000 + "</data></node>")
    (node,) = read(text, keys=(), streams={"name": parts.append})
    assert b"".join(parts).decode() == "x" * 100_000
    assert node.data == {"name": ""}  # there is one, which is all that is kept


def test_values_of_edges():
    keys = '<key id="k" for="edge" attr.name="weight"/>'
    text = document('<edge source="a" target="b"><data key="k">5</data></edge>', keys)
    (edge,) = read(text, edge_keys=("weight",))
    assert edge.data == {"weight": "5"}
    assert read(text)[0].data == {}


@pytest.mark.parametrize(
    "within", ["", " text ", '<node id="b"/>', '<data key="k1">x<z/></data>', '<data key="none"/>']
)
def test_what_stands_within_an_edge_is_passed_over(within):
    node = '<node id="a"><data key="k1">x</data></node>'
    assert read(document(f'<edge source="a" target="a">{within}</edge>{node}')) == [
        EdgeRecord("a", "a", {}, 1),
        NodeRecord("a", {"name": "x"}, 1),
    ]


@pytest.mark.parametrize("around", ["{}", '<node id="b">{}</node>'])
def test_an_edge_within_an_edge_is_refused(around):
    edges = '<edge source="a" target="a"><edge source="a" target="a"/></edge>'
    refused(document('<node id="a"/>' + around.format(edges)), "an <edge> within an <edge>")


def test_a_key_for_all_elements():
    keys = '<key id="k" for="all" attr.name="name"/>'
    text = document('<data key="k">graph</data><node id="a"><data key="k">node</data></node>', keys)
    assert read(text) == [NodeRecord("a", {"name": "node"}, 1)]


def test_a_key_without_a_scope_is_for_all():
    text = document('<node id="a"><data key="k">x</data></node>', '<key id="k" attr.name="name"/>')
    assert read(text)[0].data == {"name": "x"}


def test_keys_are_known_by_their_name_not_by_their_id():
    keys = '<key id="name" for="node" attr.name="other"/><key id="other" for="node" attr.name="name"/>'
    text = document('<node id="a"><data key="name">1</data><data key="other">2</data></node>', keys)
    assert read(text)[0].data == {"name": "2"}


@pytest.mark.parametrize("holder", ["graph", 'port name="p"'])
def test_data_of_what_stands_in_a_node_is_not_the_node_s(holder):
    keys = '<key id="k" for="all" attr.name="name"/><key id="q" attr.name="other"/>'
    inner = f'<{holder}><data key="k">theirs</data><data key="q">theirs</data></{holder.split()[0]}>'
    for values in (f'{inner}<data key="k">own</data>', f'<data key="k">own</data>{inner}'):
        (node,) = read(document(f'<node id="a">{values}</node>', keys), keys=("name", "other"))
        assert node.data == {"name": "own"}


@pytest.mark.parametrize("text", [document("{}"), f"<graphml>{KEYS}{{}}<graph/></graphml>"])
def test_a_value_of_the_graph_or_the_document_holds_no_node(text):
    refused(text.format('<data key="k1"><node id="z"/></data>'), "a value contains the element <node>")


def test_data_of_the_graph_within_a_node_is_not_the_node_s():
    keys = '<key id="k1" for="node" attr.name="name"/><key id="g1" for="graph" attr.name="name"/>'
    text = document('<node id="a"><graph><data key="g1">graph</data></graph><data key="k1">node</data></node>', keys)
    assert read(text)[0].data == {"name": "node"}


def test_namespace_prefixes_are_understood():
    text = (
        f'<g:graphml xmlns:g="{NAMESPACE}"><g:key id="k" for="node" attr.name="name"/><g:graph>'
        '<g:node id="a"><g:data key="k">x</g:data></g:node></g:graph></g:graphml>'
    )
    assert read(text)[0].data == {"name": "x"}


def test_no_namespace_at_all():
    text = '<graphml><key id="k" for="node" attr.name="name"/><graph><node id="a"/></graph></graphml>'
    assert read(text) == [NodeRecord("a", {}, 1)]


def test_elements_of_other_namespaces_are_passed_over():
    assert read(document('<x:node xmlns:x="urn:x" id="a"/><x:edge xmlns:x="urn:x"/>')) == []


def test_attributes_that_other_tools_add_are_passed_over():
    text = document('<node yfiles="1" id="a" id2="b"><data x="1" key="k1" y="2">v</data></node>')
    assert read(text) == [NodeRecord("a", {"name": "v"}, 1)]


@pytest.mark.parametrize("head", ["", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-8"?>'])
def test_utf_8_with_and_without_a_byte_order_mark(head):
    text = head + document('<node id="ä"/>')
    assert read(text)[0].node_id == "ä"
    assert read(b"\xef\xbb\xbf" + text.encode())[0].node_id == "ä"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_encodings_are_refused(encoding):
    refused(document("").encode(encoding), "another encoding than UTF-8")
    refused(("<?xml version='1.0'?>" + document("")).encode(encoding), "another encoding than UTF-8")


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-16", "UTF-7", "windows-1252", "unknown"])
def test_a_declaration_of_another_encoding_is_refused(encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + document("")
    refused(text, f"encoding {encoding}")


def test_bytes_that_are_not_utf_8_are_refused():
    refused(document("<!-- \udcff -->").encode("utf-8", "surrogateescape"), "not well-formed")


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE graphml>",
        '<!DOCTYPE graphml SYSTEM "graphml.dtd">',
        '<!DOCTYPE graphml [<!ENTITY a "aaaa">]>',
        '<!DOCTYPE graphml [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
    ],
)
def test_a_doctype_is_refused(doctype):
    assert refused(doctype + document(""), "DOCTYPE").place == "line 1"


def test_an_undefined_entity_is_refused():
    refused(document('<node id="a"><data key="k1">&nbsp;</data></node>'), "undefined entity|not well-formed")


def test_nesting_up_to_the_limit():
    levels = (MAX_DEPTH - 2) // 2
    opening = "".join(f'<node id="n{level}"><graph>' for level in range(levels))
    assert len(read(document(opening + "</graph></node>" * levels))) == levels


@pytest.mark.parametrize("depth", [MAX_DEPTH, 100_000])
def test_nesting_beyond_the_limit_is_refused(depth):
    refused(document("<graph>" * depth), "nested more than")


def test_nesting_of_unknown_elements_is_limited_too():
    refused(document("<x>" * 100_000), "nested more than")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<node/>", "no id"),
        ('<edge source="a"/>', "no target"),
        ('<edge target="a"/>', "no source"),
        ('<node id="a"><data>x</data></node>', "no key"),
        ('<node id="a"><data key="nothing">x</data></node>', "not declared"),
        ('<node id="a"><data key="k1">x</data><data key="k1">y</data></node>', "second value"),
        ('<node id="a"><data key="k1">x<b/></data></node>', "contains the element <b>"),
        ('<node id="a"><data key="k1"><data key="k2">x</data></data></node>', "contains the element <data>"),
        ('<node id="a"><data key="k2"><node id="b"/></data></node>', "contains the element <node>"),
    ],
)
def test_what_is_incomplete_or_ambiguous_is_refused_with_its_line(body, message):
    assert refused(document("\n\n" + body), message).place == "line 3"


def test_two_keys_of_one_name_give_two_values():
    keys = '<key id="a" for="node" attr.name="name"/><key id="b" for="node" attr.name="name"/>'
    refused(document('<node id="n"><data key="a">x</data><data key="b">y</data></node>', keys), "second value")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('<key for="node" attr.name="name"/>', "no id"),
        (KEYS + '<key id="k1" for="node" attr.name="weight"/>', "declared twice"),
        (KEYS + '<key id="k1" for="all" attr.name="weight"/>', "declared twice"),
        ('<key id="k" for="node" attr.name="name"><default>x</default></key>', "has a default"),
    ],
)
def test_keys_that_cannot_be_followed_are_refused(keys, message):
    refused(document("", keys), message)


def test_nodes_and_edges_may_number_their_keys_alike():
    keys = '<key id="d1" for="node" attr.name="name"/><key id="d1" for="edge" attr.name="tensor_name"/>'
    body = '<node id="a"><data key="d1">x</data></node><edge source="a" target="a"><data key="d1">y</data></edge>'
    assert read(document(body, keys))[0].data == {"name": "x"}


def test_an_empty_default_is_none():
    keys = '<key id="k" for="node" attr.name="name"><default/></key>'
    text = document('<node id="a"><data key="k">x</data></node>', keys)
    assert read(text)[0].data == {"name": "x"}


def test_a_default_of_a_key_that_nobody_asked_for_is_passed_over():
    keys = KEYS + '<key id="k3" for="node" attr.name="colour"><default>red</default></key>'
    assert read(document('<node id="a"/>', keys)) == [NodeRecord("a", {}, 1)]


@pytest.mark.parametrize("root", ["<svg/>", f'<node xmlns="{NAMESPACE}" id="a"/>', '<graphml xmlns="urn:other"/>'])
def test_another_root_is_refused(root):
    refused(root, "is not GraphML: the root element is")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (document("")[:-5], 1),
        (document("\n\n<node id='a'>")[:-10], 3),
        (document("\n<node id='a'></edge>"), 2),
        (document("") + "\n<graphml/>", 2),
        (document("") + "\ntext", 2),
        ("", 1),
        ("   ", 1),
        (document("\n<node id=a/>"), 2),
        (document("\n<node id='a' id='b'/>"), 2),
        (document("\n\x00"), 2),
        (document("\n&#0;"), 2),
        (document("\n&#xFFFE;"), 2),
    ],
)
def test_xml_that_is_not_well_formed_is_refused_with_its_line(text, line):
    assert refused(text, "not well-formed").place == f"line {line}"


def test_a_document_cut_off_anywhere_is_refused():
    whole = document('<node id="a"><data key="k1">v</data></node><edge source="a" target="a"/>').encode()
    for length in range(len(whole)):
        refused(whole[:length], "not well-formed")


def test_lines_of_nodes_and_edges():
    text = document('\n<node id="a">\n<data key="k1">x\ny</data></node>\n\n<edge source="a" target="a"/>')
    assert [record.line for record in read(text)] == [2, 6]
