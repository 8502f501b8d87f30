"""Makes the workbooks beside it, by two programs that write them differently (openpyxl, XlsxWriter)."""
import datetime as d
import sys
from pathlib import Path

import openpyxl
import xlsxwriter
from openpyxl.utils.datetime import CALENDAR_MAC_1904

here = Path(__file__).parent

# Titles above, a header of two merged lines, a section, a hidden row, a second sheet about something else, a hidden one.
book = openpyxl.Workbook()
sheet = book.active
sheet.title = "Zertifikate"
sheet["A1"] = "Zertifikatsübersicht (Stand Oktober)"
sheet.merge_cells("A1:F1")
sheet.append([])
sheet.append(["Zertifikat", None, None, "Ansprechpartner", None, "Bemerkung"])
sheet.append(["Server", "Gültig bis", "Aussteller", "Name", "E-Mail", None])
sheet.merge_cells("A3:C3")
sheet.merge_cells("D3:E3")
sheet.merge_cells("F3:F4")
sheet.append(["Produktion"])
sheet.append(["shop.example.com", d.date(2026, 12, 31), "R11", "Web Team", "web@example.com", "im Lastverteiler"])
sheet.append(["10.0.0.9:636", d.datetime(2027, 2, 1, 12, 30), "Interne CA", "Kim", None, None])
sheet.append(["alt.example.com", "31.01.2027", None, None, None, "=1+1"])
sheet.append(["mail.example.com", "in 3 Monaten", None, None, None, None])
sheet.row_dimensions[8].hidden = True
for row in range(6, 8):
    sheet.cell(row, 2).number_format = "DD.MM.YYYY"
other = book.create_sheet("Urlaub")
other.append(["Wer", "Von", "Bis"])
other.append(["Kim", d.date(2026, 12, 20), d.date(2027, 1, 6)])
hidden = book.create_sheet("alt")
hidden.append(["Server", "Gültig bis"])
hidden.append(["old.example.com", d.date(2020, 1, 1)])
hidden.sheet_state = "hidden"
book.save(here / "openpyxl.xlsx")

# The epoch of old Macs, shared by no other program; numbers as text, a serial number that a spreadsheet rounded.
book = openpyxl.Workbook()
book.epoch = CALENDAR_MAC_1904
sheet = book.active
sheet.append(["Common Name", "Expiration Date", "Serial Number", "Port"])
sheet.append(["a.example.com", d.datetime(2026, 12, 31), "0A:BC:DE:F0:12:34:56:78", 8443])
sheet.append(["b.example.com", d.datetime(2027, 3, 1), 1.2345e25, "443"])
book.save(here / "mac.xlsx")

book = xlsxwriter.Workbook(here / "xlsxwriter.xlsx", {"constant_memory": True})
sheet = book.add_worksheet("Certificates")
day = book.add_format({"num_format": "mm/dd/yy"})
for column, text in enumerate(["URL", "Expires On", "Owner", "Notes"]):
    sheet.write(0, column, text)
sheet.write_string(1, 0, "https://a.example.com/login")
sheet.write_datetime(1, 1, d.datetime(2026, 12, 31), day)
sheet.write(1, 2, "web")
sheet.write_string(2, 0, "https://b.example.com:8443/")
sheet.write(2, 1, "3/4/27")
sheet.write_string(3, 0, "https://c.example.com")
sheet.write(3, 1, "12/31/26")
# One cell at the far end: a table of its own size would be of seventeen thousand million cells.
sheet.write_string(1048575, 16383, "far")
book.close()
sys.exit(0)
