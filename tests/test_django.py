"""Django: a project whose tables are FLAC files, in processes of its own; in each Django is set up once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import audiomem_sql as am

SETTINGS = """
from pathlib import Path

BASE = Path(__file__).parent
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shelf"]
DATABASES = {"default": {"ENGINE": "audiomem_sql.django", "NAME": BASE / "db.sqlite3"}}
"""
MODELS = """
import uuid
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=30, unique=True, db_index=True)


class Tag(models.Model):
    word = models.SlugField(primary_key=True)


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    title = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    day = models.DateField(null=True, db_index=True)
    moment = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    key = models.UUIDField(default=uuid.uuid4)
    ok = models.BooleanField(default=False)
    extra = models.JSONField(default=dict)
    data = models.BinaryField(default=b"")
    pages = models.PositiveIntegerField(default=1)
    ratio = models.FloatField(null=True)
    took = models.DurationField(null=True)
    address = models.GenericIPAddressField(null=True)
    tags = models.ManyToManyField(Tag)

    class Meta:
        unique_together = [("author", "title")]
        constraints = [
            models.CheckConstraint(condition=models.Q(pages__lt=10_000), name="few_pages"),
            models.UniqueConstraint(fields=["author", "key"], name="one_key"),
        ]
        indexes = [models.Index(fields=["pages", "-day"], name="by_pages")]
"""
SETUP = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from pathlib import Path
def files():
    return sorted(path.name for path in Path("db.sqlite3.tables").glob("shelf*.flac"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an app."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").touch()
    (tmp_path / "shelf" / "models.py").write_text(MODELS)
    (tmp_path / "settings.py").write_text(SETTINGS)
    return tmp_path


def run(project: Path, code: str) -> str:
    """What a program prints; it may use what SETUP has."""
    command = [sys.executable, "-W", "error", "-c", SETUP + textwrap.dedent(code)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


MIGRATE = """
call_command("makemigrations", "shelf", verbosity=0)
call_command("migrate", verbosity=0)
"""

VALUES = """
import datetime, decimal, uuid
from shelf.models import *
utc = datetime.timezone.utc
values = dict(
    title="one", price=decimal.Decimal("12.30"), day=datetime.date(2024, 2, 29),
    moment=datetime.datetime(2024, 2, 29, 12, 30, 1, 250_000, tzinfo=utc), clock=datetime.time(23, 59, 1, 5),
    key=uuid.UUID(int=5), ok=True, extra={"a": [1, None, "ä"]}, data=b"\\0\\xff", pages=3, ratio=0.1,
    took=datetime.timedelta(days=1, microseconds=3), address="10.0.0.1",
)
"""


def test_a_django_project(project: Path) -> None:
    run(
        project,
        MIGRATE
        + VALUES
        + """
ada = Author.objects.create(name="Ada")
assert ada.pk == 1
book = Book.objects.create(author=ada, **values)
found = Book.objects.get()
for name, value in values.items():
    assert getattr(found, name) == value, name
for name in ("price", "day", "clock", "key", "ok", "data", "ratio", "took", "address", "extra__a__0"):
    value = 1 if name == "extra__a__0" else values[name]
    assert Book.objects.filter(**{name: value}).count() == 1, name
for price in ("9.50", "100.05", "0.07"):
    ada.books.create(title=price, price=decimal.Decimal(price))
prices = [str(price) for price in Book.objects.order_by("price").values_list("price", flat=True)]
assert prices == ["0.07", "9.50", "12.30", "100.05"]
assert Book.objects.filter(price__gt=decimal.Decimal("9.50")).count() == 2
assert Book.objects.filter(price__in=[decimal.Decimal("9.50"), decimal.Decimal("0.07")]).count() == 2
assert Book.objects.aggregate(models.Sum("price"))["price__sum"] == decimal.Decimal("121.92")
assert Book.objects.filter(day__year=2024, clock__hour=23, title__icontains="ON").get() == book
assert Author.objects.annotate(n=models.Count("books")).get().n == 4
assert [book.author.name for book in Book.objects.select_related("author")] == ["Ada"] * 4

assert Author.objects.get_or_create(name="Ada") == (ada, False)
bob, created = Author.objects.get_or_create(name="Bob")
assert created and bob.pk == 2
assert Author.objects.update_or_create(name="Bob", defaults={"name": "Rob"})[0].name == "Rob"
Author.objects.bulk_create([Author(name=f"n{number}") for number in range(2000)])
Author.objects.bulk_create([Author(name="n1"), Author(name="extra")], ignore_conflicts=True)
assert Author.objects.count() == 2003
some = list(Author.objects.filter(name__in=["n1", "n2"]))
for author in some:
    author.name += "x"
assert Author.objects.bulk_update(some, ["name"]) == 2
assert Author.objects.filter(name__endswith="x").count() == 2
assert Author.objects.filter(pk__gt=2).delete()[0] == 2001

book.tags.add(Tag.objects.create(word="red"), Tag.objects.create(word="blue"))
tagged = Book.objects.prefetch_related("tags").get(pk=book.pk)
assert sorted(tag.pk for tag in tagged.tags.all()) == ["blue", "red"]
Book.objects.filter(pk=book.pk).update(pages=models.F("pages") + 1, price=models.F("price") * 2)
book.refresh_from_db()
assert (book.pages, book.price) == (4, decimal.Decimal("24.60"))
assert Book.objects.defer("extra").first().extra == values["extra"]
assert list(Book.objects.raw("SELECT id, title FROM shelf_book WHERE title = %s", ["one"]))[0].pk == book.pk

for wrong in (dict(title="one"), dict(title="new", pages=10_000), dict(title="new", key=book.key)):
    try:
        with transaction.atomic():
            Book.objects.create(author=ada, **wrong)
    except IntegrityError as error:
        assert "constraint failed" in str(error)
    else:
        raise AssertionError(wrong)
with transaction.atomic():
    Author.objects.create(name="outer")
    try:
        with transaction.atomic():
            Author.objects.create(name="inner")
            raise ValueError
    except ValueError:
        pass
    assert not Author.objects.filter(name="inner").exists()
    Author.objects.create(name="after")
try:
    with transaction.atomic():
        Author.objects.create(name="gone")
        raise ValueError
except ValueError:
    pass
assert sorted(Author.objects.values_list("name", flat=True)) == ["Ada", "Rob", "after", "outer"]

from django.contrib.auth.models import Permission, User
user = User.objects.create_user("ada", password="secret")
user.user_permissions.add(Permission.objects.get(codename="add_book"))
assert User.objects.get(pk=user.pk).has_perm("shelf.add_book")
assert ada.books.all().delete()[0] == 6
ada.delete()
call_command("flush", interactive=False, verbosity=0)
assert not Author.objects.exists()
import io
said = io.StringIO()
call_command("inspectdb", stdout=said)
assert "class ShelfBook" in said.getvalue()
call_command("check", verbosity=0)
call_command("makemigrations", check=True, verbosity=0)
assert files() == ["shelf_author.flac", "shelf_book.flac", "shelf_book_tags.flac", "shelf_tag.flac"]
""",
    )


CHANGES = {
    "title = models.CharField(max_length=50)": "title = models.CharField(max_length=80, default='?')",
    "name = models.CharField(max_length=30, unique=True, db_index=True)": (
        "full_name = models.CharField(max_length=30, unique=True, db_index=True)\n"
        "    born = models.IntegerField(null=True)\n"
        '    score = models.DecimalField(max_digits=5, decimal_places=1, default="2.5")'
    ),
    "pages = models.PositiveIntegerField(default=1)": "pages = models.CharField(max_length=9, default='1')",
    '    data = models.BinaryField(default=b"")\n': "",
    '            models.CheckConstraint(condition=models.Q(pages__lt=10_000), name="few_pages"),\n': "",
    '        indexes = [models.Index(fields=["pages", "-day"], name="by_pages")]\n': "",
}
MIGRATION = """
from django.db import migrations, models

def fill(apps, schema_editor):
    Author = apps.get_model("shelf", "Author")
    Author.objects.create(full_name="Grace", born=1906)
    Author.objects.filter(full_name="Ada").update(born=1815)

class Migration(migrations.Migration):
    dependencies = [("shelf", "0002_changes")]
    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddField("author", "alive", models.BooleanField(default=False)),
        migrations.RunPython(fill_more := (lambda apps, editor: apps.get_model("shelf", "Author").objects
            .filter(born=1906).update(alive=True)), migrations.RunPython.noop),
        migrations.RenameModel("Tag", "Word"),
        migrations.CreateModel("Extra", [("id", models.AutoField(primary_key=True))]),
        migrations.DeleteModel("Extra"),
    ]
"""


def test_django_migrations(project: Path) -> None:
    """Fields are added, altered, renamed and removed, with the rows that are there, and back again."""
    run(project, MIGRATE + VALUES + 'Book.objects.create(author=Author.objects.create(name="Ada"), **values)')
    text = MODELS
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    (project / "shelf" / "models.py").write_text(text)
    run(
        project,
        """
from django.db.migrations.questioner import MigrationQuestioner
MigrationQuestioner.ask_rename = lambda *arguments: True
import django.core.management.commands.makemigrations as command
command.NonInteractiveMigrationQuestioner.ask_rename = lambda *arguments: True
call_command("makemigrations", "shelf", name="changes", interactive=False, verbosity=0)
written = Path("shelf/migrations/0002_changes.py").read_text()
for operation in ("RenameField", "AddField", "AlterField", "RemoveField", "RemoveConstraint", "RemoveIndex"):
    assert operation in written, operation
call_command("migrate", verbosity=0)
import decimal
from shelf.models import *
book = Book.objects.select_related("author").get()
assert (book.author.full_name, book.author.born, book.author.score) == ("Ada", None, decimal.Decimal("2.5"))
assert (book.pages, str(book.price), book.extra["a"]) == ("3", "12.30", [1, None, "ä"])
assert len(files()) == 4
try:
    with transaction.atomic():
        Author.objects.create(full_name="Ada")
except IntegrityError as error:
    assert "UNIQUE" in str(error)
else:
    raise AssertionError
""",
    )
    (project / "shelf" / "migrations" / "0003_more.py").write_text(MIGRATION)
    run(
        project,
        """
call_command("migrate", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute("SELECT full_name, born, alive FROM shelf_author ORDER BY id")
    assert cursor.fetchall() == [("Ada", 1815, 0), ("Grace", 1906, 1)]
    assert "shelf_word" in connection.introspection.table_names()
assert len(files()) == 4
call_command("migrate", "shelf", "0001", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute("SELECT name FROM shelf_author ORDER BY id")
    assert cursor.fetchall() == [("Ada",), ("Grace",)]
assert len(files()) == 4
call_command("migrate", "shelf", "zero", verbosity=0)
assert files() == []
""",
    )
    assert list((project / "db.sqlite3.tables").glob("shelf*")) == []


def test_a_migration_that_fails(project: Path) -> None:
    """Tables, rows and files are as before."""
    run(project, MIGRATE + VALUES + 'Author.objects.create(name="Ada")')
    (project / "shelf" / "migrations" / "0002_bad.py").write_text(
        """
from django.db import migrations, models

def fail(apps, schema_editor):
    raise ValueError("on purpose")

class Migration(migrations.Migration):
    dependencies = [("shelf", "0001_initial")]
    operations = [
        migrations.AddField("author", "born", models.IntegerField(default=3)),
        migrations.CreateModel("Other", [("id", models.AutoField(primary_key=True))]),
        migrations.RemoveField("book", "tags"),
        migrations.RunPython(fail),
    ]
"""
    )
    run(
        project,
        """
before = files()
try:
    call_command("migrate", verbosity=0)
except ValueError as error:
    assert "on purpose" in str(error)
else:
    raise AssertionError
assert files() == before, files()
from shelf.models import *
assert Author.objects.get().name == "Ada"
assert Book.tags.through.objects.count() == 0
""",
    )
    assert am.read_flac(project / "db.sqlite3.tables" / "shelf_author.flac")["name"].tolist() == ["Ada"]


def test_what_django_refuses(project: Path) -> None:
    run(
        project,
        MIGRATE
        + VALUES
        + """
from django.db import NotSupportedError
from audiomem_sql.errors import UnsupportedError
class Long(models.Model):
    amount = models.DecimalField(max_digits=16, decimal_places=2)
    class Meta:
        app_label = "shelf"
def refused(kind, words, call):
    try:
        call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
def create():
    with connection.schema_editor() as editor:
        editor.create_model(Long)
refused(UnsupportedError, "15 digits", create)
refused(NotSupportedError, "does not support updating conflicts", lambda: Author.objects.bulk_create(
    [Author(name="a")], update_conflicts=True, update_fields=["name"], unique_fields=["name"]))
made = Author.objects.bulk_create([Author(name="a")])
assert made[0].pk is None
connection.close()
settings = {**connection.settings_dict, "NAME": ":memory:"}
other = type(connection._connections["default"] if hasattr(connection, "_connections") else connection)
from audiomem_sql.django.base import DatabaseWrapper
memory = DatabaseWrapper(settings, "memory")
refused(UnsupportedError, "Set NAME", memory.database_file)
""",
    )


TESTS = """
from django.db import connection
from django.test import TestCase, TransactionTestCase
from shelf.models import Author


class Isolated(TestCase):
    @classmethod
    def setUpTestData(cls):
        Author.objects.create(name="Ada")

    def test_one(self):
        Author.objects.create(name="Bob")
        self.assertEqual(Author.objects.count(), 2)

    def test_two(self):
        self.assertEqual(Author.objects.count(), 1)
        print("folder", connection.database_file())


class Flushed(TransactionTestCase):
    def test_one(self):
        Author.objects.create(name="Cy")
        self.assertEqual(Author.objects.count(), 1)

    def test_two(self):
        self.assertEqual(Author.objects.count(), 0)
"""


def test_djangos_test_runner(project: Path) -> None:
    """Tests have a database of their own, which is gone with its files; that of the project is as it was."""
    (project / "shelf" / "tests.py").write_text(TESTS)
    run(project, MIGRATE + VALUES + 'Author.objects.create(name="real")')
    before = sorted(path.name for path in (project / "db.sqlite3.tables").iterdir())
    said = run(project, 'call_command("test", "shelf", verbosity=0)')
    (folder,) = [line.split()[1] for line in said.splitlines() if line.startswith("folder")]
    assert "audiomem-test-" in folder
    assert not Path(folder).parent.exists()
    settings = SETTINGS.replace('"db.sqlite3"}', '"db.sqlite3", "TEST": {"NAME": BASE / "tests.sqlite3"}}')
    (project / "settings.py").write_text(settings)
    run(project, 'call_command("test", "shelf", verbosity=0, interactive=False)')
    assert not list(project.glob("tests.sqlite3*"))
    assert sorted(path.name for path in (project / "db.sqlite3.tables").iterdir()) == before
    run(project, 'from shelf.models import Author; assert Author.objects.get().name == "real"')
