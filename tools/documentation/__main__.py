"""Write every part of the documentation that is made from the code: ``make docs``."""

from __future__ import annotations

from tools.documentation import config_page, errors_page, input_page, names_page, picture, proof_page


def main() -> None:
    """Write the pages, then the picture."""
    config_page.PAGE.write_text(config_page.page(config_page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    input_page.PAGE.write_text(input_page.page(input_page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    errors_page.PAGE.write_text(errors_page.page(errors_page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    proof_page.PAGE.write_text(proof_page.page(proof_page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    templates = names_page.synthesised()
    names_page.PAGE.write_text(
        names_page.page(names_page.PAGE.read_text(encoding="utf-8"), templates), encoding="utf-8"
    )
    picture.main()


if __name__ == "__main__":
    main()
