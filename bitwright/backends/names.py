"""The one way by which names from a model file reach generated text: legal, unique, harmless."""

import re

MAX_LENGTH = 40
_COMMENT_LENGTH = 80
_C = """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
class compl const constexpr const_cast continue decltype default delete do double dynamic_cast else
enum explicit export extern false float for friend goto if inline int long main mutable namespace
new noexcept not not_eq nullptr operator or or_eq private protected public register
reinterpret_cast restrict return short signed sizeof static static_assert static_cast struct switch
template this thread_local throw true try typedef typeid typename typeof union unsigned using
virtual void volatile wchar_t while xor xor_eq"""
_VERILOG = """always and assign automatic begin bind bit buf bufif0 bufif1 byte case casex casez cell
cmos config cover deassign default defparam design disable edge else end endcase endconfig
endfunction endgenerate endmodule endprimitive endspecify endtable endtask enum event final for
force forever fork function generate genvar highz0 highz1 if ifnone import incdir include initial
inout input instance integer interface join large liblist library localparam logic macromodule
medium modport module nand negedge nmos nor noshowcancelled not notif0 notif1 or output package
packed parameter pmos posedge primitive priority program property pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent rand rcmos real realtime reg release repeat rnmos rpmos
rtran rtranif0 rtranif1 scalared sequence showcancelled signed small specify specparam strong0
strong1 struct supply0 supply1 table task this time tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type union unique unsigned use uwire vectored wait wand weak0 weak1 while wire wor
xnor xor clk rst_n con prn aux nul"""
RESERVED = frozenset((_C + " " + _VERILOG).split())


def identifier(text: str, fallback: str = "n") -> str:
    """Return a legal C and Verilog identifier (lower case, at most 40 characters) for `text`."""
    ascii_only = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    name = ascii_only[:MAX_LENGTH].strip("_") or fallback
    if name[0].isdigit():
        name = f"{fallback}{name}"
    return f"{name}_" if name in RESERVED else name


class Names:
    """Hands out identifiers, each once; the same text may be asked for again under one key."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        """Start with the names in `taken` used up."""
        self._taken = set(taken)
        self._known: dict[str, str] = {}

    def __call__(self, text: str, fallback: str = "n") -> str:
        """Return the identifier that stands for `text`, the same at every call."""
        if text not in self._known:
            self._known[text] = self.fresh(text, fallback)
        return self._known[text]

    def fresh(self, text: str, fallback: str = "n") -> str:
        """Return an identifier like `text` that nothing had before."""
        base = candidate = identifier(text, fallback)
        n = 1
        while candidate in self._taken:
            n += 1
            candidate = f"{base}_{n}"
        self._taken.add(candidate)
        return candidate


def comment(text: str, length: int = _COMMENT_LENGTH) -> str:
    """Return `text` fit for a comment of any target: one line of plain printable characters."""
    plain = re.sub(r"[^ -~]|[\\`?*$<>\"']", "_", text)
    plain = plain.replace("//", "/_")
    return plain if len(plain) <= length else f"{plain[: length - 3]}..."
