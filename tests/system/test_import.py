"""Import and dump: all of a file or none of it, once or again, killed or not.

SPDX-License-Identifier: Apache-2.0
"""

import csv
import itertools
import os
import re
import signal
import subprocess
import time

import pytest
from cluster import ROOT, program

BOOKS = os.path.join(os.path.dirname(ROOT), "shared", "data", "books.csv")
DEFAULTS = ["--default-stock", 100, "--default-price", 1999]
MANY = 15000  # more than can be in by the time that the first rows' bar was seen

needs_books = pytest.mark.skipif(not os.path.exists(BOOKS),
                                 reason="the catalog of 10,000 real books is not there")


def counts(result):
    """(rows, added, changed, unchanged) of a run that succeeded."""
    assert result.code == 0, result
    told = re.match(r"(\d+) rows: (\d+) added, (\d+) changed, (\d+) unchanged\n", result.stdout)
    assert told, result
    return tuple(map(int, told.groups()))


def write(store, name, text):
    path = store.path(name)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


@needs_books
@pytest.mark.alone
@pytest.mark.bare
def test_ten_thousand_real_books(cluster):
    """Under five seconds, with a progress bar; a second run changes nothing and says so; and the
    books are found and sold by both clients."""
    began = time.monotonic()
    first = cluster.pygmy("import", BOOKS, *DEFAULTS, "--progress")
    took = time.monotonic() - began
    assert counts(first) == (10000, 10000, 0, 0)
    assert took < 5
    assert re.search(r"import \[=* *\] +\d+ %", first.stderr)
    assert "ignored: language, ratings_count, topic_source" in first.stderr

    second = cluster.pygmy("import", BOOKS, *DEFAULTS)
    assert counts(second) == (10000, 0, 0, 10000)
    assert "nothing has changed" in second.stdout

    titles = [line.split("\t")[3]
              for line in cluster.pygmy("search", "harry", "potter", "--all", "--plain")
              .stdout.splitlines()]
    assert len(titles) >= 7
    assert "Harry Potter and the Half-Blood Prince (Harry Potter, #6)" in titles
    over_http = cluster.get("/search?q=harry+potter&limit=500").json["items"]
    assert [item["title"] for item in over_http] == titles

    classics = cluster.pygmy("search", "--topic", "classics", "--json").json["items"]
    assert cluster.get("/search/classics").json["items"][:50] == classics
    book = cluster.pygmy("lookup", "animal farm", "--json").json["item"]
    assert (book["id"], book["price_cents"], book["stock"]) == (14, 1999, 100)
    assert cluster.get("/lookup/14").json == book
    assert cluster.pygmy("buy", 14).code == 0
    assert cluster.post("/buy/14").status == 201
    assert cluster.get("/lookup/14").json["stock"] == 98
    # The file has neither stock nor price: what was sold stays sold.
    assert counts(cluster.pygmy("import", BOOKS, *DEFAULTS)) == (10000, 0, 0, 10000)


@needs_books
def test_a_dump_is_read_back_to_the_byte(make_cluster):
    """Into the same store it changes nothing; into an empty one it makes the same store."""
    one, other = make_cluster(), make_cluster()
    some = 2000
    with open(BOOKS, encoding="utf-8", newline="") as books, \
            open(one.path("some.csv"), "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(itertools.islice(csv.reader(books), some + 1))
    assert counts(one.pygmy("import", one.path("some.csv"), *DEFAULTS)) == (some, some, 0, 0)
    one.pygmy("items", "add", 20000, "--title", 'Quotes "and", commas', "--price", 0)
    first, second = one.path("first.csv"), one.path("second.csv")
    assert one.pygmy("dump", first).code == 0
    assert counts(one.pygmy("import", first)) == (some + 1, 0, 0, some + 1)
    assert counts(other.pygmy("import", first)) == (some + 1, some + 1, 0, 0)
    assert other.pygmy("dump", second).code == 0
    with open(first, "rb") as ours, open(second, "rb") as theirs:
        assert ours.read() == theirs.read()
    assert one.pygmy("dump").stdout == open(first, encoding="utf-8").read()


def test_a_killed_run_is_completed_by_running_it_again(cluster):
    """What a killed run has left out is added by the next, and nothing twice."""
    rows = "".join(f"{item},Title {item},{item % 100}\n" for item in range(1, MANY + 1))
    path = write(cluster, "many.csv", "id,title,stock\n" + rows)
    first = subprocess.Popen([program("pygmy"), "--config", cluster.config, "import", path,
                              "--default-price", "1", "--progress"], stderr=subprocess.PIPE)
    with first:
        first.stderr.read(1)  # the bar appears with the first rows that are in
        first.kill()
    assert first.returncode == -signal.SIGKILL
    rows, added, changed, unchanged = counts(cluster.pygmy("import", path, "--default-price", 1))
    assert rows == MANY and changed == 0
    assert added > 0 and unchanged > 0 and added + unchanged == MANY
    assert counts(cluster.pygmy("import", path, "--default-price", 1)) == (MANY, 0, 0, MANY)
    audit = cluster.pygmy("search", "--all", "--plain").stdout.splitlines()
    assert [int(line.split("\t")[0]) for line in audit] == list(range(1, MANY + 1))


def test_a_run_survives_the_death_of_the_catalog(cluster):
    """kill -9 of the catalog while rows are on their way: the run goes on when it is back."""
    rows = "".join(f"{item},Title {item}\n" for item in range(1, MANY + 1))
    path = write(cluster, "many.csv", "id,title\n" + rows)
    run = subprocess.Popen([program("pygmy"), "--config", cluster.config, "import", path,
                            "--default-price", "1", "--progress", "--timeout", "60"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with run:
        run.stderr.read(1)
        os.kill(cluster.pid("catalog-1"), signal.SIGKILL)
        told, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert told.startswith(b"%d rows: %d added, 0 changed, 0 unchanged" % (MANY, MANY))


@pytest.mark.parametrize("text, line", [
    ('1,"Unclosed,5\n2,B,5\n', 3),
    ("1,A,5\n1,B,5\n", 4),
    ("1,A,5,6\n", 3),
    ("1,A\n", 3),
    ("1,A,-5\n", 3),
    ("1,A,5.5\n", 3),
    ("1,,5\n", 3),
    ("x,A,5\n", 3),
    ("1,A,5\n\n2,B,5\n", 4),
    ("1,A,5\n2,B\"C,5\n", 4),
    ("1,A,99999999999\n", 3),
])
def test_a_bad_file_names_its_line_and_imports_nothing(shared_cluster, text, line):
    """Status 2, FILE:LINE on standard error, and the store as it was."""
    before = shared_cluster.pygmy("dump").stdout
    path = write(shared_cluster, "bad.csv", "id,title,stock\n500,Good,5\n" + text)
    result = shared_cluster.pygmy("import", path, *DEFAULTS)
    assert result.code == 2 and result.stdout == "", result
    assert f"{path}:{line}: " in result.stderr and "nothing was imported" in result.stderr
    assert shared_cluster.pygmy("dump").stdout == before


def test_bytes_that_are_not_utf8_are_refused(shared_cluster):
    """By the line they are on."""
    path = shared_cluster.path("latin1.csv")
    with open(path, "wb") as file:
        file.write(b"id,title\n1,caf\xe9\n")
    result = shared_cluster.pygmy("import", path, *DEFAULTS)
    assert result.code == 2 and f"{path}:2: byte 0xe9 is not UTF-8" in result.stderr


def test_a_new_item_without_a_price_names_its_line(cluster):
    """Which ids are new only the store knows: it is asked with the first rows before others."""
    write(cluster, "one.csv", "id,title,price_cents\n1,One,100\n")
    assert counts(cluster.pygmy("import", cluster.path("one.csv"))) == (1, 1, 0, 0)
    rows = "".join(f"{item},Title {item}\n" for item in range(2, 2000))
    path = write(cluster, "new.csv", "id,title\n1,Uno\n" + rows)
    result = cluster.pygmy("import", path)
    assert result.code == 1 and f"{path}:3: " in result.stderr, result
    assert "--default-price" in result.stderr
    assert cluster.pygmy("lookup", 1, "--json").json["item"]["title"] == "One"


def test_only_what_the_columns_say_is_changed(cluster):
    """An existing id keeps its price and stock when the file has no such column."""
    write(cluster, "a.csv", "id,title,price_cents,stock,topic\n1,One,100,7,t\n2,Two,200,8,t\n")
    assert counts(cluster.pygmy("import", cluster.path("a.csv"))) == (2, 2, 0, 0)
    write(cluster, "b.csv", "\ufeffid,title\r\n1,Uno\r\n2,Two\r\n")
    assert counts(cluster.pygmy("import", cluster.path("b.csv"), *DEFAULTS)) == (2, 0, 1, 1)
    item = cluster.pygmy("lookup", 1, "--json").json["item"]
    assert (item["title"], item["price_cents"], item["stock"]) == ("Uno", 100, 7)
    assert item["topic"] == "t"


def test_the_same_key_with_another_file_is_refused(cluster):
    """A key is for one content."""
    write(cluster, "a.csv", "id,title,price_cents\n1,One,100\n")
    write(cluster, "b.csv", "id,title,price_cents\n1,Other,100\n")
    assert cluster.pygmy("import", cluster.path("a.csv"), "--key", "k").code == 0
    assert cluster.pygmy("import", cluster.path("a.csv"), "--key", "k").code == 0
    result = cluster.pygmy("import", cluster.path("b.csv"), "--key", "k", "--json")
    assert result.code == 1 and result.json["error"]["type"] == "key-reused"


def test_import_needs_the_secret(cluster):
    """Status 4, and nothing is there."""
    path = write(cluster, "a.csv", "id,title,price_cents\n1,One,100\n")
    os.rename(cluster.path("cluster.secret"), cluster.path("elsewhere"))
    result = cluster.pygmy("import", path)
    os.rename(cluster.path("elsewhere"), cluster.path("cluster.secret"))
    assert result.code == 4, result
    assert cluster.pygmy("dump").stdout.count("\n") == 1


def test_an_interrupted_run_says_how_far_it_came(cluster):
    """Status 130 at SIGINT."""
    rows = "".join(f"{item},Title {item}\n" for item in range(1, MANY + 1))
    path = write(cluster, "many.csv", "id,title\n" + rows)
    run = subprocess.Popen([program("pygmy"), "--config", cluster.config, "import", path,
                            "--default-price", "1", "--progress"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    with run:
        run.stderr.read(1)
        run.send_signal(signal.SIGINT)
        told, talk = run.communicate(timeout=60)
    assert run.returncode == 130 and told == ""
    assert re.search(rf"\d+ of {MANY} rows are in for certain; run it again", talk)


def test_a_file_above_the_bound_is_refused(shared_cluster):
    """Its size is told, and nothing is sent."""
    path = shared_cluster.path("huge.csv")
    with open(path, "wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)
    result = shared_cluster.pygmy("import", path, *DEFAULTS)
    os.remove(path)
    assert result.code != 0 and "longer than 268435456 bytes" in result.stderr, result
