// The platform's own login: it reads and writes one database, and nothing else. Run by the image
// when the volume is empty; again by hand it changes the password (docs/operations.md, "Keys").
const { PLATFORM_PASSWORD: pwd } = process.env;
if (!pwd) {
  throw new Error("PLATFORM_PASSWORD is empty: the Secret mongodb needs the key platform-password");
}
const admin = db.getSiblingDB("admin");
const roles = [{ role: "readWrite", db: "fastapi_platform" }];
if (admin.getUser("platform")) {
  admin.updateUser("platform", { pwd, roles });
} else {
  admin.createUser({ user: "platform", pwd, roles });
}
