"""Writes the corpus: one document for each trait of the dialect, and what it means in `expected.json`.

The files are committed; run this after changing a text, and look at the difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLOSING = """
instance of OMI_ConfigurationDocument
{
    Version="2.0.0";
    MinimumCompatibleVersion = "1.0.0";
    CompatibleVersionAdditionalProperties= {"Omi_BaseResource:ConfigurationName"};
    Author="author";
    GenerationDate="06/11/2025 19:53:38";
    GenerationHost="host";
    ContentType="PasswordEncrypted";
    Name="AnotherName";
};
"""
CLOSING_MEANS = {
    "class": "OMI_ConfigurationDocument",
    "alias": None,
    "properties": {
        "Version": "2.0.0",
        "MinimumCompatibleVersion": "1.0.0",
        "CompatibleVersionAdditionalProperties": ["Omi_BaseResource:ConfigurationName"],
        "Author": "author",
        "GenerationDate": "06/11/2025 19:53:38",
        "GenerationHost": "host",
        "ContentType": "PasswordEncrypted",
        "Name": "AnotherName",
    },
}


def instance(name: str, alias: str | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"class": name, "alias": alias, "properties": properties}


#: Text, encoding, and what it means; a document of each trait that real files have.
DOCUMENTS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "header_comment": (
        "/*\n@TargetNode='localhost'\n@GeneratedBy=me\n*/\n"
        'instance of nxFile as $nxFile1ref\n{\nResourceID = "[nxFile]a";\n};' + CLOSING,
        "ascii",
        [instance("nxFile", "$nxFile1ref", ResourceID="[nxFile]a"), CLOSING_MEANS],
    ),
    "utf16_with_mark_and_crlf": (
        'instance of nxFile as $a\r\n{\r\n ResourceID = "[nxFile]größe";\r\n};\r\n',
        "utf-16",
        [instance("nxFile", "$a", ResourceID="[nxFile]größe")],
    ),
    "utf16_little_without_mark": ('instance of A { X = "ä"; };', "utf-16-le", [instance("A", X="ä")]),
    "utf16_big_without_mark": ('instance of A { X = "ä"; };', "utf-16-be", [instance("A", X="ä")]),
    "utf16_big_with_mark": ('\ufeffinstance of A { X = "ä"; };', "utf-16-be", [instance("A", X="ä")]),
    "utf8_with_mark": ('instance of A { X = "ä"; };', "utf-8-sig", [instance("A", X="ä")]),
    "utf8": ('instance of A { X = "ä€\U0001f600"; };', "utf-8", [instance("A", X="ä€\U0001f600")]),
    "without_alias": (
        'instance of A { X = "1"; };\ninstance of A { X = "2"; };',
        "ascii",
        [instance("A", X="1"), instance("A", X="2")],
    ),
    "every_value": (
        (
            "instance of A {\n"
            '\tText = "x"; Empty = ""; Yes = True; no = FALSE; Nothing = NULL;\n'
            "\tNumber = 42; Negative = -7; Plus = +7; Hex = 0x1F; Octal = 017; Binary = 101b; Real = 1.5;\n"
            "\tSmall = -2e-3;\n"
            '\tChar = \'c\'; Texts = {"a", "b"}; NoTexts = {}; Mixed = {1, true, null, "t"};\n};'
        ),
        "ascii",
        [
            instance(
                "A",
                Text="x",
                Empty="",
                Yes=True,
                no=False,
                Nothing=None,
                Number=42,
                Negative=-7,
                Plus=7,
                Hex=31,
                Octal=15,
                Binary=5,
                Real=1.5,
                Small=-0.002,
                Char="c",
                Texts=["a", "b"],
                NoTexts=[],
                Mixed=[1, True, None, "t"],
            )
        ],
    ),
    "escapes": (
        r'instance of A { X = "a\\b\"c\n\t\r\b\f\x41\x00E4\xD83D\xDE00\'"; };',
        "ascii",
        [instance("A", X="a\\b\"c\n\t\r\b\fA\u00e4\U0001f600'")],
    ),
    "line_breaks_in_a_string": (
        'instance of nxScript { TestScript = "#!/bin/sh\n\texit 0\n"; };',
        "ascii",
        [instance("nxScript", TestScript="#!/bin/sh\n\texit 0\n")],
    ),
    "adjacent_strings": (
        'instance of A { X =\n  "one, "\n  /* and */ "two";\n Y = "three" "four"; };',
        "ascii",
        [instance("A", X="one, two", Y="threefour")],
    ),
    "aliases_as_values": (
        (
            'instance of MSFT_Credential as $MSFT_Credential1ref { UserName = "u"; Password = "p"; };\n'
            "instance of A as $A1ref { Credential = $MSFT_Credential1ref;\n"
            "All = {$MSFT_Credential1ref, $A1ref}; };"
        ),
        "ascii",
        [
            instance("MSFT_Credential", "$MSFT_Credential1ref", UserName="u", Password="p"),
            instance(
                "A",
                "$A1ref",
                Credential={"alias": "$MSFT_Credential1ref"},
                All=[{"alias": "$MSFT_Credential1ref"}, {"alias": "$A1ref"}],
            ),
        ],
    ),
    "alias_used_before_it_is_defined": (
        "instance of A { Credential = $Later; };\ninstance of B as $Later { };",
        "ascii",
        [instance("A", Credential={"alias": "$Later"}), instance("B", "$Later")],
    ),
    "embedded_instance": (
        'instance of A { Credential = instance of MSFT_Credential { UserName = "u"; }; };',
        "ascii",
        [instance("A", Credential=instance("MSFT_Credential", UserName="u"))],
    ),
    "words_as_property_names": (
        'instance of A { Class = "1"; Ref = "2"; Instance = "3"; Of = "4"; As = "5"; True = "6"; };',
        "ascii",
        [instance("A", Class="1", Ref="2", Instance="3", Of="4", As="5", **{"True": "6"})],
    ),
    "spelling": (
        'INSTANCE OF a AS $X\n{\n\tResourceId\t=\t"[A]a"\t;\tdependson={"[A]b"};\n};',
        "ascii",
        [instance("a", "$X", ResourceId="[A]a", dependson=["[A]b"])],
    ),
    "no_semicolon_after_an_instance": (
        'instance of A { X = "1"; }\ninstance of B { }\n;;',
        "ascii",
        [instance("A", X="1"), instance("B")],
    ),
    "pragmas_and_classes": (
        (
            '#pragma include ("other.schema.mof")\n#pragma namespace("\\\\\\\\.\\\\root")\n'
            '[ClassVersion("1.0.0.0"), FriendlyName("A")]\nclass A : OMI_BaseResource\n{\n'
            '  [Key, Description("a } in a text")] string Name; // and a } in a comment\n'
            '  [Write, ValueMap{"x","y"}, Values{"x","y"}] string Ensure[];\n};\n'
            "class B;\nQualifier Key : boolean = false, Scope(property);\n"
            'instance of A { Name = "n"; };'
        ),
        "ascii",
        [instance("A", Name="n")],
    ),
    "nothing": ("\n// only a comment\n", "ascii", []),
    "rule_as_osconfig_writes_it": (
        "instance of OsConfigResource as $OsConfigResource0ref\n{\n"
        '    ResourceID = "Ensure that the SSH port is configured";\n'
        '    RuleId = "1310042D-193F-414A-A7E3-B2C4E89AA537";\n'
        '    PayloadKey = "EnsureSshPortIsConfigured";\n'
        '    DesiredObjectValue = "22\\n";\n};\n' + CLOSING,
        "ascii",
        [
            instance(
                "OsConfigResource",
                "$OsConfigResource0ref",
                ResourceID="Ensure that the SSH port is configured",
                RuleId="1310042D-193F-414A-A7E3-B2C4E89AA537",
                PayloadKey="EnsureSshPortIsConfigured",
                DesiredObjectValue="22\n",
            ),
            CLOSING_MEANS,
        ],
    ),
}


def main() -> None:
    for name, (text, encoding, _) in DOCUMENTS.items():
        (HERE / f"{name}.mof").write_bytes(text.encode(encoding))
    expected = {name: means for name, (_, _, means) in DOCUMENTS.items()}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
