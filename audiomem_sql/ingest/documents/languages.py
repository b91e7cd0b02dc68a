"""The programming languages whose functions and classes are found, and how their grammars call them."""

from __future__ import annotations

from dataclasses import dataclass


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and the types of nodes in its tree-sitter grammar.

    ``module``: the package of the grammar. ``containers``: what has a name, and definitions inside.
    ``leaves``: what has a name, and is not looked into. ``bodies``: lists of what may be a definition.
    ``wrappers``: what stands around one definition and belongs to it. ``separator``: between the parts of a
    qualified name. ``shebangs``: programs that run it, for files without a suffix.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    containers: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()
    bodies: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset()
    separator: str = "."
    function: str = "language"
    shebangs: tuple[str, ...] = ()


_SCRIPT_CONTAINERS = (
    "class_declaration class abstract_class_declaration interface_declaration internal_module module"
)
_SCRIPT_LEAVES = (
    "function_declaration generator_function_declaration method_definition variable_declarator "
    "field_definition "
    "public_field_definition type_alias_declaration enum_declaration function_signature"
)
_SCRIPT_BODIES = "class_body statement_block"
_SCRIPT_WRAPPERS = (
    "export_statement lexical_declaration variable_declaration ambient_declaration expression_statement"
)
_CONDITIONS = "preproc_ifdef preproc_if preproc_else preproc_elif linkage_specification declaration_list"

_ALL = (
    Language(
        "python",
        (".py", ".pyi", ".pyw"),
        "tree_sitter_python",
        _set("class_definition"),
        _set("function_definition"),
        _set("block if_statement try_statement else_clause except_clause finally_clause"),
        _set("decorated_definition"),
        shebangs=("python", "python3"),
    ),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs", ".jsx"),
        "tree_sitter_javascript",
        _set(_SCRIPT_CONTAINERS),
        _set(_SCRIPT_LEAVES),
        _set(_SCRIPT_BODIES),
        _set(_SCRIPT_WRAPPERS),
        shebangs=("node",),
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        "tree_sitter_typescript",
        _set(_SCRIPT_CONTAINERS),
        _set(_SCRIPT_LEAVES),
        _set(_SCRIPT_BODIES),
        _set(_SCRIPT_WRAPPERS),
        function="language_typescript",
    ),
    Language(
        "tsx",
        (".tsx",),
        "tree_sitter_typescript",
        _set(_SCRIPT_CONTAINERS),
        _set(_SCRIPT_LEAVES),
        _set(_SCRIPT_BODIES),
        _set(_SCRIPT_WRAPPERS),
        function="language_tsx",
    ),
    Language(
        "java",
        (".java",),
        "tree_sitter_java",
        _set(
            "class_declaration interface_declaration enum_declaration record_declaration "
            "annotation_type_declaration"
        ),
        _set("method_declaration constructor_declaration compact_constructor_declaration"),
        _set("class_body interface_body enum_body enum_body_declarations annotation_type_body"),
    ),
    Language(
        "c",
        (".c", ".h"),
        "tree_sitter_c",
        leaves=_set(
            "function_definition type_definition struct_specifier union_specifier enum_specifier "
            "preproc_function_def"
        ),
        bodies=_set(_CONDITIONS),
    ),
    Language(
        "c++",
        (".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".h++"),
        "tree_sitter_cpp",
        _set("class_specifier struct_specifier namespace_definition"),
        _set(
            "function_definition enum_specifier union_specifier concept_definition type_definition "
            "preproc_function_def"
        ),
        _set(f"{_CONDITIONS} field_declaration_list"),
        _set("template_declaration"),
        "::",
    ),
    Language(
        "go",
        (".go",),
        "tree_sitter_go",
        leaves=_set("function_declaration method_declaration type_spec type_alias"),
        wrappers=_set("type_declaration"),
    ),
    Language(
        "rust",
        (".rs",),
        "tree_sitter_rust",
        _set("impl_item trait_item mod_item"),
        _set("function_item function_signature_item struct_item enum_item union_item macro_definition"),
        _set("declaration_list"),
        separator="::",
    ),
    Language(
        "c#",
        (".cs",),
        "tree_sitter_c_sharp",
        _set(
            "class_declaration struct_declaration interface_declaration record_declaration "
            "namespace_declaration"
        ),
        _set(
            "method_declaration constructor_declaration destructor_declaration operator_declaration "
            "property_declaration indexer_declaration enum_declaration delegate_declaration"
        ),
        _set("declaration_list preproc_if preproc_else preproc_elif"),
    ),
    Language(
        "ruby",
        (".rb", ".rake"),
        "tree_sitter_ruby",
        _set("class module"),
        _set("method singleton_method"),
        _set("body_statement singleton_class"),
        shebangs=("ruby",),
    ),
    Language(
        "php",
        (".php",),
        "tree_sitter_php",
        _set(
            "class_declaration interface_declaration trait_declaration enum_declaration namespace_definition"
        ),
        _set("function_definition method_declaration"),
        _set("declaration_list enum_declaration_list compound_statement"),
        separator="::",
        function="language_php",
        shebangs=("php",),
    ),
    Language(
        "shell",
        (".sh", ".bash", ".zsh", ".ksh"),
        "tree_sitter_bash",
        leaves=_set("function_definition"),
        shebangs=("sh", "bash", "dash", "zsh", "ksh"),
    ),
    Language(
        "sql",
        (".sql", ".ddl"),
        "tree_sitter_sql",
        leaves=_set(
            "create_table create_view create_materialized_view create_function create_procedure create_index "
            "create_trigger create_type create_schema create_sequence"
        ),
        wrappers=_set("statement"),
    ),
)
#: All languages by name.
LANGUAGES: dict[str, Language] = {language.name: language for language in _ALL}
