"""The generated C under every warning of the project, of both compilers, for schemas that use all kinds of fields."""

import re
import shutil
import subprocess

import pytest
from gen import meta
from gen.__main__ import build_files, write
from sound import FILES, ROOT


def flags():
    """Those of cmake/flags.cmake."""
    text = (ROOT / "cmake/flags.cmake").read_text()
    found = (
        re.search(r"target_compile_options\(souk_flags INTERFACE\n(.*?)\)", text, re.S)
        .group(1)
        .split()
    )
    assert "-Werror" in found and "-Wpedantic" in found
    return found


def compile_c(compiler, out, source, *more):
    words = [
        compiler,
        "-std=c17",
        "-D_GNU_SOURCE",
        *flags(),
        f"-I{out}/include",
        f"-I{ROOT}/lib/include",
        f"-I{ROOT}/workers/runtime/include",
    ]
    return subprocess.run([*words, *more, str(source)], capture_output=True, text=True, timeout=60)


@pytest.fixture(params=["gcc", "clang"])
def compiler(request):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


def build(folder, tmp_path):
    out = tmp_path / "out"
    write(out, build_files(meta.read(folder)))
    return out


def test_no_warning(folder, tmp_path, compiler):
    out = build(folder, tmp_path)
    sources = sorted((out / "src").glob("*.c"))
    assert len(sources) >= 10
    for source in sources:
        ran = compile_c(compiler, out, source, "-fsyntax-only")
        assert ran.returncode == 0, ran.stderr


def test_every_header_stands_alone(folder, tmp_path, compiler):
    out = build(folder, tmp_path)
    for header in sorted((out / "include").rglob("*.h")):
        source = tmp_path / "alone.c"
        source.write_text(
            f'#include "{header.relative_to(out / "include")}"\ntypedef int alone_t;\n'
        )
        ran = compile_c(compiler, out, source, "-fsyntax-only")
        assert ran.returncode == 0, ran.stderr


def test_tables_may_be_empty(folder, tmp_path):
    (folder / "shop.yaml").unlink()
    (folder / "types.yaml").write_text("types: {}\n")
    (folder / "metrics.yaml").write_text("metrics: []\n")
    (folder / "events.yaml").write_text("events: []\n")
    out = build(folder, tmp_path)
    for source in sorted((out / "src").glob("*.c")):
        ran = compile_c("gcc", out, source, "-fsyntax-only")
        assert ran.returncode == 0, ran.stderr


def test_text_that_c_would_read_otherwise(folder, tmp_path):
    odd = 'A "quoted" \\\\ back ??/ slash, */ a comment\\u2019s end'
    (folder / "errors.yaml").write_text(
        FILES["errors.yaml"].replace(
            "title: Not found", f'title: "{odd.replace(chr(34), chr(92) + chr(34))}"'
        )
    )
    out = build(folder, tmp_path)
    source = tmp_path / "main.c"
    source.write_text(
        '#include "souk/err.h"\n#include <stdio.h>\n#include <string.h>\n'
        "int main(void) {\n    puts(souk_err_info(SOUK_ERR_NOT_FOUND)->title);\n"
        '    printf("%d %d %d\\n", souk_err_of_code("not_found", 9) == SOUK_ERR_NOT_FOUND, souk_err_of_code("not_fo", 6),\n'
        "           souk_err_info((souk_err_t)999)->status);\n"
        '    printf("%s %d\\n", souk_err_info(SOUK_OK)->code, souk_err_info(SOUK_OK)->status);\n    return 0;\n}\n'
    )
    program = tmp_path / "main"
    ran = compile_c("gcc", out, source, str(out / "src/err.c"), "-o", str(program))
    assert ran.returncode == 0, ran.stderr
    said = subprocess.run(
        [str(program)], capture_output=True, text=True, timeout=10
    ).stdout.splitlines()
    assert said == [meta.read(folder).error("not_found").title, "1 0 500", "ok 200"]


MACHINE_C = """\
#include "gen/shop.h"
#include "gen/events.h"
#include <stdio.h>

void souk_assert_failed(const char *expr, const char *file, int line, const char *function) {
    (void)file, (void)line, (void)function;
    puts(expr);
    fflush(stdout);
    _Exit(3);
}

int main(void) {
    const souk_machine_t *self = &shop_thing_machine;
    for (int32_t from = 0; from < (int32_t)self->states_count; from++) {
        for (int32_t by = 0; by < (int32_t)self->moves_count; by++) {
            int32_t to = 99;
            bool moved = souk_machine_move(self, from, by, &to);
            printf("%s %s %s\\n", souk_machine_state_name(self, from), souk_machine_move_name(self, by),
                   moved ? souk_machine_state_name(self, to) : to == 99 ? "-" : "touched");
        }
    }
    printf("%d %d %d\\n", self->initial == SHOP_THING_IS_FRESH, SHOP_THING_IS_GONE, SHOP_THING_BY_LOSE);
    printf("%d %d\\n", souk_machine_is_final(self, SHOP_THING_IS_USED), souk_machine_is_final(self, SHOP_THING_IS_GONE));
    printf("%d %d\\n", souk_machine_state_of(self, SOUK_STR("used")), souk_machine_state_of(self, SOUK_STR("use")));
    const souk_event_kind_t *kind = souk_event_kind_of(SOUK_STR("shop"), SOUK_STR("thing.lost"));
    printf("%d %s\\n", kind == &souk_event_kinds[SOUK_EVENT_THING_LOST], kind->aggregate);
    printf("%d\\n", souk_event_kind_of(SOUK_STR("stock"), SOUK_STR("thing.lost")) == NULL);
    int32_t to;
    return souk_machine_move(self, 3, 0, &to);
}
"""


def test_machines_and_events_in_c(folder, tmp_path):
    out = build(folder, tmp_path)
    source = tmp_path / "main.c"
    source.write_text("#include <stdlib.h>\n" + MACHINE_C)
    # Of the service's source only the machine: its descriptors need the engine.
    text = (out / "src/shop.c").read_text()
    only = tmp_path / "machine_of_shop.c"
    only.write_text(
        '#include "gen/shop.h"\n'
        + text[text.index("static const char *const s_shop_thing_states") :]
    )
    linked = [only, out / "src/events.c", ROOT / "lib/src/machine.c", ROOT / "lib/src/event.c"]
    program = tmp_path / "main"
    ran = compile_c("gcc", out, source, *map(str, linked), "-o", str(program))
    assert ran.returncode == 0, ran.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=10)
    assert ran.stdout.splitlines() == [
        "fresh take used",
        "fresh drop gone",
        "fresh lose -",
        "fresh mend -",
        "used take used",
        "used drop -",
        "used lose gone",
        "used mend fresh",
        "gone take -",
        "gone drop -",
        "gone lose -",
        "gone mend -",
        "1 2 2",
        "0 1",
        "1 -1",
        "1 thing",
        "1",
        "from >= 0 && (size_t)from < self->states_count",
    ]
    assert ran.returncode == 3
